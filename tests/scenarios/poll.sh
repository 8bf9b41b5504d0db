#!/usr/bin/env bash
# Print the state of a server every few seconds, with curl, grep, sed and date alone:
# what a person pastes into a terminal to see how far a snapshot has come.
# Wants API_ENDPOINT, API_TOKEN, SERVER_ID; SLEEP_TIME is in seconds. Ends when the
# server has disappeared.
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# The token comes from standard input: everybody may look at the arguments of programs.
get() {
  curl -s -X GET -K - -H "Accept: application/json" \
    -w "%{http_code}" -o "$answer" "$API_ENDPOINT/servers/$SERVER_ID" <<END
header = "X-Auth-Token: $API_TOKEN"
END
}

# In a regular expression of POSIX a question mark makes nothing modest, and there is no
# \d: so a value ends at the next quotation mark, and a digit is one of 0-9.
field() {
  grep -Eo "\"(OS-EXT-STS:)?$1\": (\"[^\"]*\"|[0-9]|null)" "$answer" |
    sed 's/OS-EXT-STS://;s/"//g'
}

if [ "$(get)" != "200" ]; then
  echo "[error] can't find server $SERVER_ID"
  exit 1
fi
while true; do
  code=$(get)
  if [ "$code" == "404" ]; then
    echo "[info] server $SERVER_ID has disappeared!"
    exit 0
  elif [ "$code" == "200" ]; then
    echo "$(date +"%H:%M:%S")   $(field status)   $(field vm_state)   $(field task_state)   $(field power_state)"
  else
    # Such an answer has no state, and without any the file is still the one before.
    echo "[error] server $SERVER_ID: HTTP $code" >&2
  fi
  sleep "${SLEEP_TIME:-45}"
done
