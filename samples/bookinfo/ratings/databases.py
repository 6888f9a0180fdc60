"""The databases that ratings v2 can read. Each function gives one that asks anew, on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pymongo
import pymysql
from pymongo.errors import PyMongoError

LIMIT_S = 2
Stars = Callable[[], Awaitable[list[int]]]


class Unavailable(Exception):
    """The database did not answer, or refused to."""


def mysql(env: Mapping[str, str]) -> Stars:
    """Table `ratings` of database `test`, by MYSQL_DB_HOST, _PORT, _USER and _PASSWORD."""
    where: dict[str, Any] = {
        "host": env.get("MYSQL_DB_HOST", "mysqldb"),
        "port": int(env.get("MYSQL_DB_PORT", "3306")),
        "user": env.get("MYSQL_DB_USER", "root"),
        "password": env.get("MYSQL_DB_PASSWORD", ""),
    }

    def ask() -> list[int]:
        try:
            with (
                pymysql.connect(
                    **where, database="test", connect_timeout=LIMIT_S, read_timeout=LIMIT_S
                ) as it,
                it.cursor() as cursor,
            ):
                cursor.execute("SELECT Rating FROM ratings ORDER BY ReviewID")
                return [int(row[0]) for row in cursor.fetchall()]
        except (pymysql.Error, OSError) as error:
            raise Unavailable(str(error)) from error

    return lambda: asyncio.to_thread(ask)


def mongodb(env: Mapping[str, str]) -> Stars:
    """Collection `ratings` of the database that MONGO_DB_URL names."""
    url = env.get("MONGO_DB_URL", "mongodb://mongodb:27017/test")

    async def ask() -> list[int]:
        try:
            # This one limit is for all that a question needs: finding the server, connecting, the answer.
            async with pymongo.AsyncMongoClient[dict[str, Any]](url, timeoutMS=LIMIT_S * 1000) as client:
                found = client.get_default_database("test")["ratings"].find().sort("_id")
                return [int(each["rating"]) async for each in found]
        except PyMongoError as error:
            raise Unavailable(str(error)) from error

    return ask
