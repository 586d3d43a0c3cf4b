-- Two tables, weeks and days, beat three with a month among them.
SELECT id, groupBitmapMerge(blogs), sum(views)
FROM
(
    SELECT author_id AS id, blogs, views
    FROM views_by_week
    WHERE site = 'default' AND dimension_set = 'author' AND bucket >= '2024-10-07' AND bucket < '2024-12-30'
    UNION ALL
    SELECT author_id AS id, blogs, views
    FROM views_by_day
    WHERE site = 'default' AND dimension_set = 'author'
      AND (bucket >= '2024-10-02' AND bucket < '2024-10-07' OR bucket = '2024-12-30')
)
GROUP BY id
ORDER BY sum(views) DESC, id
LIMIT 100
