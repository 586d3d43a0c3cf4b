-- The 300 authors of events.sql.
INSERT INTO authors (site, author_id, username, name)
SELECT
    'default',
    concat('author-', toString(number)),
    concat('writer', toString(number)),
    concat(['Abebe', 'Birtukan', 'Chidi', 'Dana', 'Eleni', 'Farid'][1 + number % 6], ' ', toString(number))
FROM numbers(300)
