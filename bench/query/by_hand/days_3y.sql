SELECT toUnixTimestamp(bucket) AS period, groupBitmapMerge(blogs), sum(views)
FROM views_by_day
WHERE site = 'default' AND dimension_set = 'total' AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
GROUP BY period
ORDER BY period
