SELECT country, groupBitmapMerge(blogs), sum(views)
FROM views_by_year
WHERE site = 'default' AND dimension_set = 'country' AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY country
ORDER BY sum(views) DESC, country
LIMIT 10
