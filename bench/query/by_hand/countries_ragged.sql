SELECT id, groupBitmapMerge(blogs), sum(views)
FROM
(
    SELECT country AS id, blogs, views
    FROM views_by_year
    WHERE site = 'default' AND dimension_set = 'country' AND bucket = '2023-01-01'
    UNION ALL
    SELECT country AS id, blogs, views
    FROM views_by_month
    WHERE site = 'default' AND dimension_set = 'country'
      AND (bucket >= '2022-04-01' AND bucket < '2023-01-01' OR bucket >= '2024-01-01' AND bucket < '2024-09-01')
    UNION ALL
    SELECT country AS id, blogs, views
    FROM views_by_day
    WHERE site = 'default' AND dimension_set = 'country'
      AND (bucket >= '2022-03-18' AND bucket < '2022-04-01' OR bucket >= '2024-09-01' AND bucket < '2024-09-17')
    UNION ALL
    SELECT country AS id, groupBitmapState(blog_number), count()
    FROM view_events
    WHERE site = 'default'
      AND (viewed_at >= '2022-03-17 09:41:23.457' AND viewed_at < '2022-03-18 00:00:00'
        OR viewed_at >= '2024-09-17 00:00:00' AND viewed_at < '2024-09-17 21:13:08.291')
    GROUP BY id
)
GROUP BY id
ORDER BY sum(views) DESC, id
