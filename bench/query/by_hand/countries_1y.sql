SELECT country, groupBitmapMerge(blogs), sum(views)
FROM views_by_year
WHERE site = 'default' AND dimension_set = 'country' AND bucket = '2024-01-01'
GROUP BY country
ORDER BY sum(views) DESC, country
