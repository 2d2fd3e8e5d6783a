//! Which parts of the query select a response.

use super::scenario::{Expect as _, Failure, Server, equal};

pub(super) async fn c034_order_of_parameters_does_not_matter(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    s.get(&format!("/rawq?id={id}&b=1&a=2")).await?.miss()?.run(1)?;
    s.get(&format!("/rawq?a=2&id={id}&b=1")).await?.hit()?.run(1)?;
    s.get(&format!("/rawq?a=2&id={id}&b=2")).await?.miss()?.run(1)?;
    // Spelled otherwise: a handler may tell it apart.
    s.get(&format!("/rawq?%61=2&id={id}&b=1")).await?.miss()?;
    Ok(())
}

pub(super) async fn c034_raw_only_and_except(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    s.get(&format!("/rawq-raw?id={id}&a=1")).await?.miss()?;
    s.get(&format!("/rawq-raw?a=1&id={id}")).await?.miss()?;
    s.get(&format!("/rawq-raw?a=1&id={id}")).await?.hit()?;

    s.get(&format!("/rawq-only?a={id}&b=1&c=1")).await?.miss()?.run(1)?;
    s.get(&format!("/rawq-only?x=y&b=1&a={id}&utm_source=z")).await?.hit()?.run(1)?;
    s.get(&format!("/rawq-only?a={id}&b=2&c=1")).await?.miss()?;
    s.get(&format!("/rawq-only?b=1&%61={id}")).await?.miss()?;

    s.get(&format!("/rawq-except?id={id}")).await?.miss()?.run(1)?;
    for noise in ["utm_source=n", "utm_anything=n", "gclid=1", "fbclid=1", "utm%5Fsource=n"] {
        s.get(&format!("/rawq-except?{noise}&id={id}")).await?.hit()?.run(1)?;
    }
    s.get(&format!("/rawq-except?id={id}&utm=1")).await?.miss()?;
    s.get(&format!("/rawq-except?id={id}&a=1")).await?.miss()?;
    Ok(())
}

pub(super) async fn c035_repeated_values_are_distinguished(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let queries = ["a=1", "a=1&a=1", "a=1&a=2", "a=2&a=1", "a=1,2", "a=12", "a=1&a=", "a="];
    for query in queries {
        s.get(&format!("/rawq?id={id}&{query}")).await?.miss()?.run(1)?;
    }
    for query in queries {
        s.get(&format!("/rawq?{query}&id={id}")).await?.hit()?.run(1)?;
    }
    Ok(())
}

pub(super) async fn c036_declared_parameters_are_normalised(s: &Server) -> Result<(), Failure> {
    let a = s.id();
    // The contract's object has two fields named `n`; this looks at the text.
    let first = s.get(&format!("/q?a={a}")).await?.miss()?;
    let text = format!(r#"{{"route":"/q","n":1,"a":"{a}","b":"db","n":5,"tag":[]}}"#);
    equal("the body", &first.text(), &text)?;
    for same in ["&b=db", "&n=5", "&b=db&n=5", "&undeclared=1", "&n=05", "&n=%35"] {
        s.get(&format!("/q?x=y&a={a}{same}")).await?.hit()?;
    }
    s.get(&format!("/q?n=5&b=db&a={a}")).await?.hit()?;
    equal("runs", &s.runs_of("/q", &a).await?, &1)?;
    let six = s.get(&format!("/q?a={a}&n=6")).await?.miss()?;
    equal("the body", &six.text(), &text.replace("5,", "6,"))?;
    let tags = serde_json::json!(["y", "x"]);
    s.get(&format!("/q?a={a}&tag=y&tag=x")).await?.miss()?.says("tag", tags.clone())?;
    s.get(&format!("/q?tag=y&a={a}&tag=x")).await?.hit()?.says("tag", tags)?;
    s.get(&format!("/q?a={a}&tag=x&tag=y")).await?.miss()?;
    s.get(&format!("/q?a={a}&tag=x%26tag%3Dy")).await?.miss()?;
    Ok(())
}
