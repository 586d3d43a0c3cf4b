-- Rows `first` to `first + rows`, in the order of time, of heart rates of ten users with two devices each: one a minute
-- from `start` (epoch s), and after `minutes` minutes one a second. Whole numbers around a daily curve.
WITH
    number % 20 AS which,
    intDiv(number, 20) AS step,
    if(step < {minutes:UInt64}, step * 60, {minutes:UInt64} * 60 + step - {minutes:UInt64}) AS second,
    sin(2 * pi() * (second % 86400) / 86400) AS time_of_day
SELECT
    'default' AS site,
    'heart_rate' AS metric,
    {labels:Array(String)}[which + 1] AS labels,
    {series:Array(UInt64)}[which + 1] AS series,
    fromUnixTimestamp64Milli(toInt64(1000 * ({start:UInt64} + second)), 'UTC') AS at,
    round(65 + which - 12 * time_of_day + cityHash64(number) % 17) AS value,
    at AS received_at
FROM numbers({first:UInt64}, {rows:UInt64})
