SELECT blog_id, 1, count()
FROM view_events
WHERE site = 'default' AND viewed_at >= '2024-12-30 15:20:37.123' AND viewed_at < '2024-12-31 15:20:37.123'
GROUP BY blog_id
ORDER BY count() DESC, blog_id
LIMIT 100
