"""Puts the ratings into the database beside it, as soon as that answers. RATINGS says others: `5,4`."""

from __future__ import annotations

import os

import pymongo

STARS = [int(each) for each in os.environ.get("RATINGS", "5,4").split(",")]

with pymongo.MongoClient[dict[str, int]](
    "mongodb://127.0.0.1:27017", serverSelectionTimeoutMS=60_000
) as client:
    ratings = client["test"]["ratings"]
    ratings.delete_many({})
    ratings.insert_many([{"_id": number, "rating": stars} for number, stars in enumerate(STARS)])
