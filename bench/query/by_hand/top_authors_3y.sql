SELECT author_id, groupBitmapMerge(blogs), sum(views)
FROM views_by_year
WHERE site = 'default' AND dimension_set = 'author' AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY author_id
ORDER BY sum(views) DESC, author_id
LIMIT 10
