SELECT toUnixTimestamp(bucket) AS period, 1, sum(views)
FROM views_by_day
WHERE site = 'default' AND dimension_set = 'author_blog' AND author_id = 'author-42' AND blog_id = '/blog/2022/post-42'
  AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY period
ORDER BY period
