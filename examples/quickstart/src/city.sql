SELECT
    cities.id, cities.name, cities.country, countries.name, cities.latitude, cities.longitude,
    cities.population, cities.timezone,
    1 + (SELECT count(*) FROM cities AS larger
         WHERE larger.country = cities.country AND larger.population > cities.population)
FROM cities JOIN countries ON countries.code = cities.country
