-- Health of any of the five kinds, by its conditions: Ready is the sum of the others. Argo CD runs it in Lua 5.1 without the
-- string library. What is not named here is Degraded: a reason that is added later shows too much, not too little.

-- What Ready=False comes to, by its reason.
local by_reason = {
  -- Comes to be True by itself, of a rule also with the first Connection that it selects.
  Pending = "Progressing",
  Progressing = "Progressing",
  WaitingForProxies = "Progressing",
  NoProxies = "Progressing",
  -- An AccessRequest that waits for people.
  WaitingForApproval = "Suspended",
  -- An AccessRequest that is over as its asker meant it to be.
  ClaimedByProxy = "Healthy",
  GrantOver = "Healthy",
  WithdrawnByRequester = "Healthy",
  AskerGone = "Healthy",
}

local hs = { status = "Progressing", message = "the operator has not looked at this generation yet" }
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return hs
end

local condition = {}
for _, one in ipairs(status.conditions) do
  condition[one.type] = one
end
local ready = condition["Ready"]
if ready == nil then
  return hs
end

hs.message = ready.message
if ready.status == "True" then
  hs.status = "Healthy"
elseif ready.status == "False" then
  hs.status = by_reason[ready.reason] or "Degraded"
end

-- Both are said only where they hold; the graver one is said last.
local advisory, degraded = condition["Advisory"], condition["Degraded"]
if advisory ~= nil and advisory.status == "True" and hs.status == "Healthy" then
  hs.message = advisory.message
end
if degraded ~= nil and degraded.status == "True" then
  hs.status = "Degraded"
  if ready.status == "True" then
    hs.message = degraded.message
  end
end
return hs
