SELECT author_id, uniqExact(blog_id), sum(views)
FROM views_by_month
WHERE site = 'default' AND dimension_set = 'country_author_blog' AND country != 'US'
  AND bucket >= '2022-01-01' AND bucket < '2025-01-01'
  AND blog_id IN (SELECT blog_id FROM blogs FINAL WHERE site = 'default' AND title ILIKE '%guide%')
GROUP BY author_id
ORDER BY sum(views) DESC, author_id
LIMIT 10
