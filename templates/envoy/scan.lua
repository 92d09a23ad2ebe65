-- The value of the top-level "model" of a JSON body, found by scanning the text: a fifth of a parser's cost on long prompts.
--
-- scan(text) returns false when the text is no JSON object as far as brackets and quotes can tell; nil when it has no such field or
-- that is no text; else the value, and where its token with both quotes begins and ends. Of two such fields the last counts, as in
-- the engines.

local find, sub, byte, char = string.find, string.sub, string.byte, string.char

local function closing_quote(s, i)         -- i: just after the opening quote
  while true do
    local q = find(s, '"', i, true)
    if not q then return nil end
    local k = q - 1
    while k >= i and byte(s, k) == 92 do k = k - 1 end
    if (q - 1 - k) % 2 == 0 then return q end
    i = q + 1
  end
end

local SHORT = {b = '\b', f = '\f', n = '\n', r = '\r', t = '\t'}

local function unescaped(c, hex)           -- a surrogate pair stays two units, and so is nobody's name
  if c ~= 'u' or #hex ~= 4 then return (SHORT[c] or c) .. hex end
  local n = tonumber(hex, 16)
  if n < 0x80 then return char(n) end
  if n < 0x800 then return char(0xc0 + (n - n % 64) / 64, 0x80 + n % 64) end
  return char(0xe0 + (n - n % 4096) / 4096, 0x80 + ((n - n % 64) / 64) % 64, 0x80 + n % 64)
end

local function text(s)
  if not find(s, '\\', 1, true) then return s end
  return (s:gsub('\\(.)(%x?%x?%x?%x?)', unescaped))
end

local function scan(s)
  if not find(s, '^%s*{') then return false end
  local i, depth, found, first, last = 1, 0, nil, nil, nil
  while true do
    local q = find(s, '["{}%[%]]', i)
    if not q then break end
    local c = byte(s, q)
    i = q + 1
    if c == 123 or c == 91 then
      depth = depth + 1
    elseif c == 125 or c == 93 then
      depth = depth - 1
      if depth < 0 then return false end
    else
      local e = closing_quote(s, i)
      if not e then return false end
      i = e + 1
      local _, colon = nil, nil
      if depth == 1 then _, colon = find(s, '^%s*:%s*', i) end
      if colon then                        -- a key of the object itself; step over its value when that is a text
        i = colon + 1
        local e2 = nil
        if byte(s, i) == 34 then
          e2 = closing_quote(s, i + 1)
          if not e2 then return false end
        end
        if e - q < 40 and text(sub(s, q + 1, e - 1)) == 'model' then
          found, first, last = nil, nil, nil
          if e2 and e2 - i <= 512 then found, first, last = text(sub(s, i + 1, e2 - 1)), i, e2 end
        end
        if e2 then i = e2 + 1 end
      end
    end
  end
  if depth ~= 0 then return false end
  return found, first, last
end
