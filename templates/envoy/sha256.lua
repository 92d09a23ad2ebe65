-- SHA-256 (FIPS 180-4), on int32 arrays so that LuaJIT compiles it to plain integer code. Envoy gives Lua no hash of its own.

local bit, ffi = require('bit'), require('ffi')
local band, bor, bxor, rs, ls, ror, tobit = bit.band, bit.bor, bit.bxor, bit.rshift, bit.lshift, bit.ror, bit.tobit
local sbyte, srep, schar, tohex = string.byte, string.rep, string.char, bit.tohex

local CONSTANTS = {
0x428a2f98,0x71374491,0xb5c0fbcf,0xe9b5dba5,0x3956c25b,0x59f111f1,0x923f82a4,0xab1c5ed5,
0xd807aa98,0x12835b01,0x243185be,0x550c7dc3,0x72be5d74,0x80deb1fe,0x9bdc06a7,0xc19bf174,
0xe49b69c1,0xefbe4786,0x0fc19dc6,0x240ca1cc,0x2de92c6f,0x4a7484aa,0x5cb0a9dc,0x76f988da,
0x983e5152,0xa831c66d,0xb00327c8,0xbf597fc7,0xc6e00bf3,0xd5a79147,0x06ca6351,0x14292967,
0x27b70a85,0x2e1b2138,0x4d2c6dfc,0x53380d13,0x650a7354,0x766a0abb,0x81c2c92e,0x92722c85,
0xa2bfe8a1,0xa81a664b,0xc24b8b70,0xc76c51a3,0xd192e819,0xd6990624,0xf40e3585,0x106aa070,
0x19a4c116,0x1e376c08,0x2748774c,0x34b0bcb5,0x391c0cb3,0x4ed8aa4a,0x5b9cca4f,0x682e6ff3,
0x748f82ee,0x78a5636f,0x84c87814,0x8cc70208,0x90befffa,0xa4506ceb,0xbef9a3f7,0xc67178f2}
local K, W = ffi.new('int32_t[64]'), ffi.new('int32_t[64]')
for i = 1, 64 do K[i-1] = tobit(CONSTANTS[i]) end

local function sha256(msg)
  local len = #msg
  local pad = (55 - len) % 64
  msg = msg .. '\128' .. srep('\0', pad + 4)
    .. schar(band(rs(len*8, 24), 255), band(rs(len*8, 16), 255), band(rs(len*8, 8), 255), band(len*8, 255))
  local h0, h1, h2, h3 = tobit(0x6a09e667), tobit(0xbb67ae85), tobit(0x3c6ef372), tobit(0xa54ff53a)
  local h4, h5, h6, h7 = tobit(0x510e527f), tobit(0x9b05688c), tobit(0x1f83d9ab), tobit(0x5be0cd19)
  for chunk = 1, #msg, 64 do
    for i = 0, 15 do
      local p = chunk + i*4
      local b1, b2, b3, b4 = sbyte(msg, p, p+3)
      W[i] = bor(ls(b1, 24), ls(b2, 16), ls(b3, 8), b4)
    end
    for i = 16, 63 do
      local x, y = W[i-15], W[i-2]
      W[i] = tobit(W[i-16] + bxor(ror(x, 7), ror(x, 18), rs(x, 3)) + W[i-7] + bxor(ror(y, 17), ror(y, 19), rs(y, 10)))
    end
    local a, b, c, d, e, f, g, h = h0, h1, h2, h3, h4, h5, h6, h7
    for i = 0, 63 do
      local t1 = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(g, band(e, bxor(f, g))) + K[i] + W[i])
      local t2 = tobit(bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bor(band(a, b), band(c, bor(a, b))))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
    end
    h0, h1, h2, h3 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d)
    h4, h5, h6, h7 = tobit(h4 + e), tobit(h5 + f), tobit(h6 + g), tobit(h7 + h)
  end
  return tohex(h0)..tohex(h1)..tohex(h2)..tohex(h3)..tohex(h4)..tohex(h5)..tohex(h6)..tohex(h7)
end
