#!/bin/sh
# MariaDB with Bookinfo's ratings in it, anew at each start.
# MYSQL_ROOT_PASSWORD is root's password; RATINGS are the stars, as in 5,4.
set -eu
RATINGS=${RATINGS:-5,4}
data=/var/lib/mysql
small="--no-defaults --user=root --datadir=$data --innodb-buffer-pool-size=16M --innodb-log-file-size=8M"
for share in /usr/share/mysql /usr/share/mariadb; do [ ! -e $share/mysql_system_tables.sql ] || break; done

mkdir -p $data /run/mysqld
{
  printf 'CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n'
  cat $share/mysql_system_tables.sql $share/mysql_system_tables_data.sql
} | mariadbd $small --bootstrap --silent-startup
{
  echo "CREATE USER root@'%' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD:?}';"
  echo "GRANT ALL ON *.* TO root@'%';"
  echo "CREATE DATABASE test;"
  echo "CREATE TABLE test.ratings (ReviewID INT NOT NULL PRIMARY KEY, Rating INT NOT NULL);"
  echo "INSERT INTO test.ratings VALUES (1, ${RATINGS%,*}), (2, ${RATINGS#*,});"
} >/tmp/init.sql
exec mariadbd $small --init-file=/tmp/init.sql --bind-address=0.0.0.0 --port="${MYSQL_PORT:-3306}" \
  --socket=/run/mysqld/mysqld.sock --performance-schema=OFF --skip-name-resolve
