SELECT blog_id, 1, sum(views)
FROM views_by_month
WHERE site = 'default' AND dimension_set = 'country_author_blog' AND country = 'ET'
  AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY blog_id
ORDER BY sum(views) DESC, blog_id
LIMIT 10
