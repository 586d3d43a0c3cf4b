SELECT id, groupBitmapMerge(blogs), sum(views)
FROM
(
    SELECT country AS id, blogs, views
    FROM views_by_month
    WHERE site = 'default' AND dimension_set = 'country' AND bucket >= '2024-01-01' AND bucket < '2024-12-01'
    UNION ALL
    SELECT country AS id, blogs, views
    FROM views_by_day
    WHERE site = 'default' AND dimension_set = 'country'
      AND (bucket >= '2023-12-18' AND bucket < '2024-01-01' OR bucket >= '2024-12-01' AND bucket < '2024-12-17')
)
GROUP BY id
ORDER BY sum(views) DESC, id
