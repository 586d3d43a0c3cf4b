-- Local midnight is 18:30 UTC: that hour comes from its quarters, five hours whole, and three times six hours.
SELECT toUnixTimestamp(toStartOfDay(bucket, 'Asia/Kolkata')) AS period, groupBitmapMerge(blogs), sum(views)
FROM
(
    SELECT bucket, blogs, views
    FROM views_by_six_hours
    WHERE site = 'default' AND dimension_set = 'total' AND toHour(bucket) != 18
      AND bucket >= '2022-01-01 00:00:00' AND bucket < '2024-12-31 18:00:00'
    UNION ALL
    SELECT bucket, blogs, views
    FROM views_by_hour
    WHERE site = 'default' AND dimension_set = 'total' AND toHour(bucket) IN (19, 20, 21, 22, 23)
      AND bucket >= '2021-12-31 19:00:00' AND bucket < '2024-12-31 18:00:00'
    UNION ALL
    SELECT bucket, blogs, views
    FROM views_by_quarter_hour
    WHERE site = 'default' AND dimension_set = 'total' AND toHour(bucket) = 18
      AND bucket >= '2021-12-31 18:30:00' AND bucket < '2024-12-31 18:30:00'
)
GROUP BY period
ORDER BY period
