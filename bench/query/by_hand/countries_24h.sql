SELECT country, groupBitmap(blog_number), count()
FROM view_events
WHERE site = 'default' AND viewed_at >= '2024-12-30 15:20:37.123' AND viewed_at < '2024-12-31 15:20:37.123'
GROUP BY country
ORDER BY count() DESC, country
