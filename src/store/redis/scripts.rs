//! What has to happen at once in the server: Lua scripts, each known by the hash of its text.

use std::sync::LazyLock;

/// A script.
pub struct Script {
    text: &'static str,
    hash: LazyLock<redis::Script>,
}

impl Script {
    pub fn text(&self) -> &str {
        self.text
    }

    pub fn hash(&self) -> &str {
        self.hash.get_hash()
    }
}

macro_rules! scripts {
    ($($(#[$about:meta])* $name:ident = $text:expr;)*) => {
        $(
            $(#[$about])*
            pub static $name: Script = Script {
                text: $text,
                hash: LazyLock::new(|| redis::Script::new($text)),
            };
        )*
    };
}

/// The queue for a lock or a semaphore: KEYS[3] has the waiters in the order in which they came, KEYS[4] until when each
/// place is kept.
macro_rules! queue {
    () => {
        "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function leave(token)
  redis.call('ZREM', KEYS[3], token)
  redis.call('ZREM', KEYS[4], token)
end
local function ahead_of(token)
  for _, lapsed in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now)) do leave(lapsed) end
  local count = redis.call('ZRANK', KEYS[3], token) or redis.call('ZCARD', KEYS[3])
  if count == 0 then return 0, '' end
  return count, table.concat(redis.call('ZRANGE', KEYS[3], 0, math.min(count, 16) - 1), '\\n')
end
local function line_up(token, time)
  if time == '0' then return end
  if not redis.call('ZSCORE', KEYS[3], token) then
    local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
    redis.call('ZADD', KEYS[3], (last[2] or 0) + 1, token)
  end
  redis.call('ZADD', KEYS[4], string.format('%.0f', now + time), token)
  redis.call('PEXPIRE', KEYS[3], time)
  redis.call('PEXPIRE', KEYS[4], time)
end
"
    };
}

scripts! {
    /// key → the elements of a list that is gone now.
    TAKE_LIST = "
local all = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('DEL', KEYS[1])
return all";

    /// key; before, before in another form, after, each with `1` in front of it, or nothing → 1 or 0.
    SWAP = "
local now = false
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' then
  now = '1' .. redis.call('GET', KEYS[1])
elseif kind == 'list' then
  now = '1[' .. table.concat(redis.call('LRANGE', KEYS[1], 0, -1), ',') .. ']'
elseif kind ~= 'none' then
  return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value')
end
if (now or '') ~= ARGV[1] and (not now or now ~= ARGV[2]) then return 0 end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
elseif kind == 'list' then
  local left = redis.call('PTTL', KEYS[1])
  redis.call('SET', KEYS[1], string.sub(ARGV[3], 2))
  if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
else
  redis.call('SET', KEYS[1], string.sub(ARGV[3], 2), 'KEEPTTL')
end
return 1";

    /// key; a float → the sum as it stands there now, as Rust writes it: the shortest text that is read as the same, with
    /// a point.
    ADD_FLOAT = "
local text = redis.call('GET', KEYS[1]) or '0'
local digits, exponent = string.match(text, '^%-?(%d+%.?%d*)(.*)$')
if not digits or (exponent ~= '' and not string.match(exponent, '^[eE][+-]?%d+$')) then
  return redis.error_reply('ERR value is not a valid float')
end
local sum = tonumber(text) + tonumber(ARGV[1])
if sum ~= sum or sum == math.huge or sum == -math.huge then
  return redis.error_reply('ERR increment would produce NaN or Infinity')
end
local written
for digits = 15, 17 do
  written = string.format('%.' .. digits .. 'g', sum)
  if tonumber(written) == sum then break end
end
if not string.find(written, '[.e]') then written = written .. '.0' end
redis.call('SET', KEYS[1], written, 'KEEPTTL')
return written";

    /// lock, fences, queue, places; token, milliseconds, milliseconds of a place, 0 for none → 1 and the fence, or 0, the
    /// milliseconds that are left to the holder, its token, and the tokens of the first of those who wait before this one.
    /// Fences begin with the time in microseconds: a server that has forgotten them goes on with larger ones.
    LOCK = concat!(queue!(), "
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  leave(ARGV[1])
  return {1, tonumber(redis.call('GET', KEYS[2]) or 1), '', ''}
end
local count, ahead = ahead_of(ARGV[1])
if holder or count > 0 then
  line_up(ARGV[1], ARGV[3])
  return {0, holder and redis.call('PTTL', KEYS[1]) or -1, holder or '', ahead}
end
leave(ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], string.format('%.0f', time[1] * 1000000 + time[2]))
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, redis.call('INCR', KEYS[2]), '', ''}");

    /// lock or semaphore, nothing, queue, places; token → whether it was in the queue. Those behind it watch the key.
    QUIT = "
redis.call('ZREM', KEYS[4], ARGV[1])
local was = redis.call('ZREM', KEYS[3], ARGV[1])
if was == 1 and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[1], '')
  redis.call('DEL', KEYS[1])
end
return was";

    /// lock, fences; token, milliseconds, fence, `1` where the server has forgotten what it knew → 1 or 0. What is held is
    /// renewed also when memory is full: a script whose first write takes no memory is let through.
    RENEW_LOCK = "
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if holder or ARGV[4] ~= '1' then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[3]) then
  redis.call('SET', KEYS[2], ARGV[3])
end
return 1";

    /// lock; token → 1 or 0.
    UNLOCK = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1";

    /// semaphore, fences, queue, places; token, milliseconds, milliseconds of a place, limit → as a lock, or 2 and the limit
    /// of the others.
    ENTER = concat!(queue!(), "
local all = redis.call('HGETALL', KEYS[1])
local held, soonest, latest, limit, tokens = 0, nil, now + ARGV[2], nil, {}
for at = 1, #all, 2 do
  if all[at] == 'limit' then
    limit = tonumber(all[at + 1])
  else
    local colon = string.find(all[at + 1], ':')
    local ends = tonumber(string.sub(all[at + 1], 1, colon - 1))
    if all[at] == ARGV[1] then
      redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + ARGV[2]) .. string.sub(all[at + 1], colon))
      leave(ARGV[1])
      return {1, tonumber(string.sub(all[at + 1], colon + 1)), '', ''}
    elseif ends <= now then
      redis.call('HDEL', KEYS[1], all[at])
    else
      held = held + 1
      tokens[held] = string.sub(all[at + 1], colon + 1) .. ':' .. all[at]
      if not soonest or ends < soonest then soonest = ends end
      if ends > latest then latest = ends end
    end
  end
end
if held > 0 and limit and limit ~= tonumber(ARGV[4]) then return {2, limit, '', ''} end
local count, ahead = ahead_of(ARGV[1])
if held + count >= tonumber(ARGV[4]) then
  line_up(ARGV[1], ARGV[3])
  return {0, soonest and soonest - now or -1, table.concat(tokens, '\\n'), ahead}
end
leave(ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], string.format('%.0f', time[1] * 1000000 + time[2]))
end
local fence = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'limit', ARGV[4], ARGV[1], string.format('%.0f:%.0f', now + ARGV[2], fence))
redis.call('PEXPIRE', KEYS[1], latest - now)
return {1, fence, '', ''}");

    /// semaphore, fences; token, milliseconds, fence, `1` as for a lock, limit → 1 or 0. As for a lock, the first write takes
    /// no memory.
    RENEW_ENTRY = "
redis.call('HDEL', KEYS[1], '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  if ARGV[4] ~= '1' then return 0 end
  redis.call('HSET', KEYS[1], 'limit', ARGV[5])
  if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[3]) then
    redis.call('SET', KEYS[2], ARGV[3])
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%s', now + ARGV[2], ARGV[3]))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1";

    /// semaphore; token → 1 or 0.
    LEAVE = "
local was = redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('HLEN', KEYS[1]) <= 1 then redis.call('DEL', KEYS[1]) end
return was";

    /// barrier, those that have passed it, those that have left it; token, milliseconds, size, tokens whose processes are known to be there → 1 and
    /// which one it was, 0 and how many are there, 2 and the size of the others, or 3 and the tokens that are to be looked
    /// at before the barrier opens.
    ARRIVE = "
local which = redis.call('HGET', KEYS[2], ARGV[1])
if which then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return {1, tonumber(which), ''}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local size, next, here, order = nil, 0, {}, 0
for at = 1, #all, 2 do
  if all[at] == 'size' then
    size = tonumber(all[at + 1])
  elseif all[at] == 'next' then
    next = tonumber(all[at + 1])
  else
    local colon = string.find(all[at + 1], ':')
    if all[at] ~= ARGV[1] and tonumber(string.sub(all[at + 1], 1, colon - 1)) <= now then
      redis.call('HDEL', KEYS[1], all[at])
    else
      here[#here + 1] = {tonumber(string.sub(all[at + 1], colon + 1)), all[at]}
      if all[at] == ARGV[1] then order = here[#here][1] end
    end
  end
end
if order == 0 and #here > 0 and size and size ~= tonumber(ARGV[3]) then return {2, size, ''} end
if order == 0 then
  order = next + 1
  here[#here + 1] = {order, ARGV[1]}
  redis.call('HSET', KEYS[1], 'size', ARGV[3], 'next', order)
end
if #here < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f', now + ARGV[2], order))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {0, #here, ''}
end
local unknown = {}
for at, arrival in ipairs(here) do
  if arrival[2] ~= ARGV[1] and not string.find(ARGV[4], '\\n' .. arrival[2] .. '\\n', 1, true) then
    unknown[#unknown + 1] = arrival[2]
  end
end
if #unknown > 0 then return {3, 0, table.concat(unknown, '\\n')} end
table.sort(here, function (one, other) return one[1] < other[1] end)
for at, arrival in ipairs(here) do
  if arrival[2] == ARGV[1] then
    which = at - 1
  else
    redis.call('HSET', KEYS[2], arrival[2], at - 1)
  end
end
if #here > 1 then redis.call('PEXPIRE', KEYS[2], 60000) end
redis.call('DEL', KEYS[1], KEYS[3])
return {1, which, ''}";

    /// those that have passed; token → which one it was, or nothing.
    PASSED = "
local which = redis.call('HGET', KEYS[1], ARGV[1])
if which then redis.call('HDEL', KEYS[1], ARGV[1]) end
return which";

    /// barrier, those that have passed it, those that have left it; token, milliseconds for which it counts as having been
    /// there → which one it was, or the tokens of those who have left of late, nothing, and those that are there, its own
    /// among them, which goes.
    GIVE_UP = "
local which = redis.call('HGET', KEYS[2], ARGV[1])
if which then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return {which}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local here = {}
for at = 1, #all, 2 do
  if all[at] ~= 'size' and all[at] ~= 'next' then
    local colon = string.find(all[at + 1], ':')
    local ends = tonumber(string.sub(all[at + 1], 1, colon - 1))
    if all[at] == ARGV[1] or ends > now then
      here[#here + 1] = {tonumber(string.sub(all[at + 1], colon + 1)), all[at]}
    end
  end
end
local left = redis.call('HGETALL', KEYS[3])
local gone = {}
for at = 1, #left, 2 do
  if tonumber(left[at + 1]) > now then gone[#gone + 1] = {tonumber(left[at + 1]), left[at]} end
end
redis.call('HDEL', KEYS[1], ARGV[1])
if #here <= 1 then
  redis.call('DEL', KEYS[1], KEYS[3])
elseif ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[3], ARGV[1], string.format('%.0f', now + ARGV[2]))
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
local tokens = {}
local function add(all)
  table.sort(all, function (one, other) return one[1] < other[1] end)
  for at, arrival in ipairs(all) do tokens[#tokens + 1] = arrival[2] end
end
add(gone)
tokens[#tokens + 1] = ''
add(here)
return tokens";
}
