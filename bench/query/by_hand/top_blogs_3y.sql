SELECT blog_id, 1, sum(views)
FROM views_by_year
WHERE site = 'default' AND dimension_set = 'author_blog' AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY blog_id
ORDER BY sum(views) DESC, blog_id
LIMIT 10
