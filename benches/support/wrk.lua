-- Asks for METHOD PATH TOKEN, and prints the figures on one line for a program to read:
-- answers, microseconds, the median and the 99th percentile in microseconds, failures.

function init(args)
  local method, path, token = args[1], args[2], args[3]
  local headers = { ["Authorization"] = token ~= "" and ("Bearer " .. token) or nil }
  local before, after = path:match("^(.*)%*(.*)$")
  local same = wrk.format(method, path, headers)
  local number = 0
  request = function()
    if not before then return same end
    number = number + 1
    return wrk.format(method, before .. number .. after, headers)
  end
end

function done(summary, latency)
  local failed = 0
  for _, count in pairs(summary.errors) do failed = failed + count end
  print(string.format("load %d %d %d %d %d", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), failed))
end
