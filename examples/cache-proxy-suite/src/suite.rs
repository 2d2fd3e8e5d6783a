//! The public suite, as its npm package has it, and its way against one proxy.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::catalogue::Catalogue;
use crate::process::{Running, free_port, output};
use crate::score::Verdicts;

/// The release whose tests `superseded.txt` and the figures of other proxies speak of.
const RELEASE: &str = "http-cache-tests@0.4.5";

/// How long one run may take, in seconds; twenty are usual.
const LIMIT: &str = "300";

const SUPERSEDED: &str = include_str!("../superseded.txt");

/// The suite, unpacked.
#[derive(Debug)]
pub(crate) struct Suite {
    dir: PathBuf,
    pub(crate) catalogue: Catalogue,
}

impl Suite {
    /// Installs the suite below `scratch`, unless it is there, and reads what it asks.
    pub(crate) fn install(scratch: &Path) -> Result<Self, String> {
        let dir = scratch.join("package");
        let done = scratch.join("installed");
        if !done.exists() {
            std::fs::create_dir_all(scratch).map_err(|error| error.to_string())?;
            // A folder of its own: npm would else install into a project around it.
            std::fs::write(scratch.join("package.json"), r#"{"private":true}"#)
                .map_err(|error| error.to_string())?;
            let npm = || {
                let mut npm = Command::new("npm");
                npm.current_dir(scratch);
                npm
            };
            let packed = output(npm().args(["pack", "--silent", RELEASE]))?;
            output(Command::new("tar").current_dir(scratch).args(["xzf", packed.trim()]))?;
            let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
            output(npm().arg("install").args(quiet).arg("node-fetch@2"))?;
            std::fs::write(done, RELEASE).map_err(|error| error.to_string())?;
        }
        let script = scratch.join("catalogue.mjs");
        std::fs::write(&script, include_str!("catalogue.mjs"))
            .map_err(|error| error.to_string())?;
        let printed = output(node(&dir).arg(script).arg(&dir))?;
        let catalogue = Catalogue::read(&printed, SUPERSEDED)?;
        Ok(Self { dir, catalogue })
    }

    /// Runs all of it against a proxy, with an origin of its own behind.
    pub(crate) fn run(&self, proxy: &mut Command, scratch: &Path) -> Result<Verdicts, String> {
        let port = free_port()?;
        let mut origin = node(&self.dir);
        origin.arg("server/server.mjs").env("npm_config_protocol", "http");
        origin.env("npm_config_port", port.to_string());
        origin.env("npm_config_pidfile", scratch.join(format!("origin-{port}.pid")));
        let (_origin, ()) =
            Running::start(&mut origin, |line| line.starts_with("Listening on").then_some(()))?;
        proxy.args(["--listen", "127.0.0.1:0", "--origin", &format!("http://127.0.0.1:{port}")]);
        let (_proxy, base) =
            Running::start(proxy, |line| line.strip_prefix("listening on ").map(str::to_owned))?;
        let mut client = Command::new("timeout");
        client.current_dir(&self.dir).args([LIMIT, "node", "--no-warnings", "cli.mjs"]);
        client.env("npm_config_base", base);
        // Set and empty: all tests.
        client.env("npm_config_id", "").env("npm_package_config_id", "");
        Verdicts::judge(&self.catalogue, &output(&mut client)?)
    }
}

fn node(dir: &Path) -> Command {
    let mut node = Command::new("node");
    node.current_dir(dir).arg("--no-warnings");
    node
}
