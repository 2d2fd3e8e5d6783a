-- For each country: its size, and how far each of its cities is from the nearest other one. The
-- join compares every city with every other city of its country, 1.4 million pairs.
WITH nearest AS (
    SELECT here.country, here.name, here.population,
        min(CASE WHEN there.id IS NOT NULL THEN
            distance_km(here.latitude, here.longitude, there.latitude, there.longitude) END) AS km
    FROM cities AS here
    LEFT JOIN cities AS there ON there.country = here.country AND there.id <> here.id
    GROUP BY here.id
)
-- Beside a lone max(), SQLite takes the bare column nearest.name from the row of the maximum.
SELECT countries.code, countries.name, count(*), sum(nearest.population),
    avg(nearest.km), nearest.name, max(nearest.km)
FROM nearest JOIN countries ON countries.code = nearest.country
GROUP BY countries.code
ORDER BY sum(nearest.population) DESC
