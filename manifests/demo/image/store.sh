#!/bin/sh
# The store: a POST adds a visit; every answer is the number of visits so far. The line is short, so its append is atomic.
[ "$REQUEST_METHOD" = POST ] && date -u +%FT%TZ >>/data/visits
printf 'Content-Type: text/plain\r\n\r\n'
wc -l </data/visits
