SELECT toUnixTimestamp(bucket) AS period, uniqExact(blog_id), sum(views)
FROM views_by_month
WHERE site = 'default' AND dimension_set = 'author_blog' AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY period
ORDER BY period
