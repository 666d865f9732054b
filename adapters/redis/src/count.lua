-- Counts one request against every claim, or against none if it is one too many for any of them.
--
-- The arithmetic is that of `Claim` in core/src/pace.rs. `now` is set above: the server's own time
-- in microseconds, so that processes with other clocks agree.
--
-- KEYS: where the mark of each claim is kept.
-- ARGV: for each claim its kind (`flow` or `day`), the microseconds for which one request of a flow
--       counts, and its quota.
-- Gives `now`, and for each claim whether the request fits (1 or 0) and the mark as it is now, or
-- -1 if there is none.

local DAY_US = 86400000000
local today = math.floor(now / DAY_US)

-- Whole numbers up to 2^53 are exact, but only if they are not written with an exponent.
local function whole(number)
    return string.format('%.0f', number)
end

local before, after, fits, kept, ends = {}, {}, {}, {}, {}
local all_fit = true
for i, key in ipairs(KEYS) do
    local kind, each, quota = ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local text = redis.call('GET', key) or ''
    if kind == 'day' then
        -- The day stands beside the count, so that no count of yesterday is taken for today's.
        local day, count = string.match(text, '^(%d+):(%d+)$')
        before[i] = tonumber(day) == today and tonumber(count) or -1
        after[i] = math.max(before[i], 0) + 1
        fits[i] = after[i] <= quota
        kept[i] = whole(today) .. ':' .. whole(after[i])
        ends[i] = (today + 1) * DAY_US
    else
        before[i] = tonumber(text) or -1
        after[i] = math.max(before[i], now) + each
        fits[i] = after[i] - now <= each * quota
        kept[i] = whole(after[i])
        ends[i] = after[i]
    end
    all_fit = all_fit and fits[i]
end

local reply = { now }
for i, key in ipairs(KEYS) do
    if all_fit then
        redis.call('SET', key, kept[i], 'PX', whole(math.ceil((ends[i] - now) / 1000)))
    end
    reply[2 * i] = fits[i] and 1 or 0
    reply[2 * i + 1] = all_fit and after[i] or before[i]
end
return reply
