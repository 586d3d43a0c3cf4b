-- Rows `first` to `first + rows` of `events` views over the three years 2022 to 2024, in the order of time.
-- Blogs: Zipf with exponent 1, the first has a twelfth of all views. Ids: as service/events/ids.py makes them, by one
-- process. Numbers: the rank, as if blogs had been seen first in that order.
WITH
    toUInt64(1640995200000) AS begin,
    94694400000 / {events:UInt64} AS step,
    arrayMap(salt -> bitShiftRight(cityHash64(number, salt), 11) / pow(2, 53), range(5)) AS chance,
    toUInt32(floor(pow(5001, chance[1]))) - 1 AS rank,
    toUInt64(begin + (number + chance[2]) * step) AS viewed,
    toUInt64(viewed + 300 * chance[3]) AS received,
    bitOr(bitShiftLeft(received, 16), bitOr(0x7000, bitShiftRight(number, 22))) AS high,
    bitOr(0x8000005E1C77AB5D, bitShiftLeft(bitAnd(number, 0x3FFFFF), 40)) AS low
SELECT
    reinterpretAsUUID(bitOr(bitShiftLeft(toUInt128(low), 64), toUInt128(high))) AS event_id,
    'default' AS site,
    concat('/blog/', toString(2010 + rank % 15), '/post-', toString(rank)) AS blog_id,
    toUInt32(rank) AS blog_number,
    concat('author-', toString(rank % 300)) AS author_id,
    ['US', 'IN', 'DE', 'GB', 'BR', 'FR', 'ET', 'JP', 'CA', 'NP', 'KE', ''][1 + toUInt8(12 * pow(chance[4], 2))] AS country,
    cityHash64(toUInt32(500000 * pow(chance[5], 1.5))) % 281474976710656 AS viewer,
    fromUnixTimestamp64Milli(toInt64(viewed), 'UTC') AS viewed_at,
    fromUnixTimestamp64Milli(toInt64(received), 'UTC') AS received_at,
    '' AS url,
    '' AS referrer,
    0 AS import_id
FROM numbers({first:UInt64}, {rows:UInt64})
