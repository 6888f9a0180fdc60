#!/bin/sh
# A server of MongoDB's protocol with Bookinfo's ratings in it: mongod where there is one, else FerretDB.
set -eu
here=$(dirname "$0")
data=/var/lib/mongodb
mkdir -p $data
python3 "$here/seed.py" &
if command -v mongod >/dev/null; then
  exec mongod --dbpath $data --bind_ip_all --port 27017 --quiet
fi
exec ferretdb :27017 $data
