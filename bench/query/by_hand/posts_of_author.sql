SELECT blog_id, toUnixTimestamp(bucket) AS period, 1, sum(views)
FROM views_by_month
WHERE site = 'default' AND dimension_set = 'author_blog' AND author_id = 'author-7'
  AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY blog_id, period
ORDER BY sum(views) DESC, blog_id, period
LIMIT 100
