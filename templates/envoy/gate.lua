-- reconciler.gate: whose key, which endpoint, may it, is this path open. Everything that is decided per request is decided here, once.
--
-- The generator puts sha256.lua and scan.lua before this text, and behind it the tables as Lua source:
--   keys      {["<sha256 hex of the whole key>"] = {id=, ws=, grants={["ws:team-a"]=1}, exp=<unix seconds, or absent>}}
--   endpoints {["team-a/chat"] = {grants={"ws:team-a", ...}, paths={["/v1/chat/completions"]={POST=1}}}}
--   names     {{"team-a/chat", "team-a/chat"}, {"an-alias", "team-a/chat"}}   what clients may write as model -> endpoint
-- They are Lua literals: in filter_context they would be copied from protobuf to Lua for every request.
--
-- Reads   Authorization: Bearer <key> (any letter case), or x-api-key when there is no Authorization header; removes both.
-- Sets    x-reconciler-key-id, and as its very last step x-reconciler-route: the name of the virtual host. A request that did not come
--         through here to its end, whatever the cause, has the route "-", which leads to no replica.

local KEYS, ENDPOINTS, PATHS, NAMES, ALIASES = {}, {}, {}, {}, {}

local function merge(into, rows) for name, row in pairs(rows) do into[name] = row end end
local function keys(rows) merge(KEYS, rows) end
local function endpoints(rows)
  merge(ENDPOINTS, rows)
  for _, row in pairs(rows) do merge(PATHS, row.paths) end
end
local function names(rows)
  for _, row in ipairs(rows) do
    NAMES[#NAMES + 1] = row
    ALIASES[row[1]:lower()] = row[2]
  end
end

local HEADERS = {
  ['401'] = {[':status'] = '401', ['content-type'] = 'application/json', ['www-authenticate'] = 'Bearer'},
}

local function refuse(handle, status, code, message, param)
  local headers = HEADERS[status] or {[':status'] = status, ['content-type'] = 'application/json'}
  handle:respond(headers, '{"error":{"message":"' .. message .. '","type":"invalid_request_error","param":' .. (param or 'null')
    .. ',"code":"' .. code .. '"}}')
end

local function printable(s) return (sub(s, 1, 128):gsub('[^%w%p ]', '?'):gsub('["\\]', '?')) end

-- A hash costs more than the rest of a request, so known keys are remembered, in this worker and as long as this table of keys lives:
-- a new table is a new Lua state, so what is revoked is forgotten with it. Unknown keys are never remembered.
local REMEMBERED, remembered, MOST = {}, 0, 4096

local function record_of(key)
  local record = REMEMBERED[key]
  if record then return record end
  record = KEYS[sha256(key)]
  if record then
    if remembered >= MOST then REMEMBERED, remembered = {}, 0 end
    REMEMBERED[key], remembered = record, remembered + 1
  end
  return record
end

local function key_in(headers)
  local value = headers:get('authorization')
  if not value then return headers:get('x-api-key') end
  if sub(value, 1, 7) == 'Bearer ' and not find(value, ' ', 8, true) then return sub(value, 8) end
  return value:match('^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$')
end

local function authenticated(handle, headers)
  local key = key_in(headers)
  if not key or key == '' or #key > 256 then
    return refuse(handle, '401', 'missing_api_key', 'This gateway needs an API key. Send the header Authorization: Bearer KEY')
  end
  local record = record_of(key)
  if not record then
    return refuse(handle, '401', 'invalid_api_key', 'This gateway does not know the API key that was sent.')
  end
  if record.exp and handle:timestamp() / 1000 >= record.exp then
    return refuse(handle, '401', 'expired_api_key', 'The API key is past its expiry date. Ask its owner for a new one.')
  end
  headers:remove('authorization')
  headers:remove('x-api-key')
  headers:replace('x-reconciler-key-id', record.id)
  return record
end

local function granted(record, endpoint)
  for _, grant in ipairs(endpoint.grants) do
    if record.grants[grant] then return true end
  end
  return false
end

local function no_path(handle)
  refuse(handle, '404', 'unknown_path', 'This path is not served here.')
end

local function open(handle, record, endpoint, method, path)
  if not granted(record, endpoint) then
    refuse(handle, '403', 'permission_denied', 'The API key is valid, but has no access to this model or endpoint.')
    return false
  end
  local methods = endpoint.paths[path]
  if not methods then
    no_path(handle)
    return false
  end
  if not methods[method] then
    refuse(handle, '405', 'method_not_allowed', 'This path does not take the method ' .. printable(method) .. '.')
    return false
  end
  return true
end

local function too_large(handle, headers)
  local length = tonumber(headers:get('content-length') or '0')
  if not length or length <= LIMIT then return false end
  refuse(handle, '413', 'request_too_large', 'The request body is larger than this gateway accepts.')
  return true
end

local function list_models(handle, record)
  local rows = {}
  for _, row in ipairs(NAMES) do
    if granted(record, ENDPOINTS[row[2]]) then rows[#rows + 1] = row[3] end
  end
  handle:respond({[':status'] = '200', ['content-type'] = 'application/json'},
    '{"object":"list","data":[' .. table.concat(rows, ',') .. ']}')
end

-- The endpoint itself, then the bare name inside the key's own workspace, then an alias: nobody can take a name away from its owner.
local function endpoint_named(model, ws)
  if #model > 256 then return nil end
  local lower = model:lower()
  if ENDPOINTS[lower] then return lower end
  local own = ws .. '/' .. lower
  if ENDPOINTS[own] then return own end
  return ALIASES[lower]
end

local function unknown_model(handle, model)
  local message = model and 'No model named ' .. printable(model) .. ' is served here.'
    or 'The request names no model. Set the field model in its JSON body.'
  refuse(handle, '404', 'model_not_found', message, '"model"')
end

local function by_path(handle, headers, record, method, path)
  local name, rest = path:match('^/([^/]+/[^/]+)(/v1/.*)$')
  local endpoint = name and ENDPOINTS[name]
  if not endpoint then
    return refuse(handle, '404', 'endpoint_not_found', 'No endpoint is served at this path.')
  end
  if too_large(handle, headers) or not open(handle, record, endpoint, method, rest) then return end
  if not headers:get('content-length') and method ~= 'GET' then
    handle:body(true)                      -- of unknown length: the listener's limit cuts it while it is collected
    headers = handle:headers()             -- what was got before the body arrived is not valid any more
  end
  headers:replace('x-reconciler-route', name)
  handle:clearRouteCache()
end

local function with_name(handle, headers, body, s, first, last)
  local served = handle:metadata():get('served_name')
  if served and sub(s, first, last) ~= served then
    headers:replace('content-length', body:setBytes(sub(s, 1, first - 1) .. served .. sub(s, last + 1)))
  end
end

local function by_model(handle, headers, record, method, path)
  if path == '/v1/models' and method == 'GET' then return list_models(handle, record) end
  if not PATHS[path] then return no_path(handle) end
  local kind = headers:get('content-type')
  local body = (not kind or find(kind:lower(), 'application/json', 1, true)) and handle:body()
  if not body then return unknown_model(handle) end
  local s = body:getBytes(0, body:length())
  headers = handle:headers()               -- what was got before the body arrived is not valid any more
  local model, first, last = scan(s)
  if model == false then
    return refuse(handle, '400', 'invalid_json', 'The request body is not valid JSON.', '"model"')
  end
  local name = model and endpoint_named(model, record.ws)
  if not name then return unknown_model(handle, model) end
  if not open(handle, record, ENDPOINTS[name], method, path) then return end
  headers:replace('x-reconciler-route', name)
  handle:clearRouteCache()
  with_name(handle, headers, body, s, first, last)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local record = authenticated(handle, headers)
  if not record then return end
  local path, method = headers:get(':path') or '/', headers:get(':method')
  local query = find(path, '?', 1, true)
  if query then path = sub(path, 1, query - 1) end
  if sub(path, 1, 4) == '/v1/' then
    by_model(handle, headers, record, method, path)
  else
    by_path(handle, headers, record, method, path)
  end
end
