url=http://127.0.0.1:8080
name=ada-$(date +%s)
post() { curl -sS -X POST -H 'Content-Type: application/json' "$@"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Register and log in.
post "$url/user" -d "{\"username\":\"$name\",\"email\":\"$name@example.com\",\"password\":\"a-long-enough-secret\"}"; echo
token=$(post "$url/auth/login" -d "{\"identity\":\"$name\",\"password\":\"a-long-enough-secret\"}" | field access_token)

# Open an account in EUR.
account=$(post "$url/account" -H "Authorization: Bearer $token" -d '{"currency":"EUR","name":"Main"}' | field id)

# Follow what happens to one's money, in the background and for at most 20 seconds.
events=$(mktemp)
curl -sN --max-time 20 -H "Authorization: Bearer $token" "$url/events" >"$events" &
follower=$!
until grep -q '^id:' "$events"; do sleep 1; kill -0 "$follower" || break; done

# Deposit 25.00 EUR. The bank confirms by a signed webhook; Prefer holds the answer until then.
deposit=$(post "$url/account/$account/deposit" -H "Authorization: Bearer $token" \
  -H "Idempotency-Key: $name-1" -H 'Prefer: wait=10' \
  -d '{"amount":"25.00","currency":"EUR","money_source":"card"}')
echo "$deposit"

# Its three events have arrived, or arrive now.
until [ "$(grep -c '^event:' "$events")" -ge 3 ]; do sleep 1; kill -0 "$follower" || break; done
kill "$follower"
grep '^event:' "$events"; rm "$events"

# It is completed, and the money is there.
balance=$(curl -sS -H "Authorization: Bearer $token" "$url/account/$account/balance")
echo "$balance"
echo "$deposit" | grep -o '"status":"completed"' &&
  echo "$balance" | grep -o '"posted":"25.00","held":"0.00","available":"25.00"'
