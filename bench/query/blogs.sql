-- The 5,000 blogs of events.sql, created all over the three years.
INSERT INTO blogs (site, blog_id, title, author_id, country, created_at)
WITH
    ['A guide to', 'Notes on', 'The case for', 'How we left', 'Why I read', 'The end of', 'Questions about', 'Ten years of'] AS how,
    ['gardens', 'trains', 'queues', 'bread', 'maps', 'rivers', 'clocks', 'islands'] AS what
SELECT
    'default',
    concat('/blog/', toString(2010 + number % 15), '/post-', toString(number)),
    concat(how[1 + cityHash64(number, 1) % 8], ' ', what[1 + cityHash64(number, 2) % 8], ', part ', toString(number)),
    concat('author-', toString(number % 300)),
    '',
    fromUnixTimestamp64Milli(toInt64(1640995200000 + cityHash64(number, 3) % 94694400000), 'UTC')
FROM numbers(5000)
