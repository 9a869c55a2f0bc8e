"""Three questions to the archives of a log, answered by DuckDB, and one by pandas.

    python examples/archives/questions.py FOLDER

FOLDER is what CONVOKE_ARCHIVE_URL names. Needs `pip install duckdb pandas pyarrow`. DuckDB reads a bucket as well:
`INSTALL httpfs; CREATE SECRET (TYPE s3, …)`, and 's3://BUCKET/PREFIX/*.events.parquet' in the place of the path.
"""

import sys

import duckdb
import pandas

folder = sys.argv[1]
db = duckdb.connect()
db.execute(f"SET TimeZone = 'UTC'; CREATE VIEW events AS SELECT * FROM '{folder}/*.events.parquet'")


def ask(question, statement):
    print(question)
    for row in db.execute(statement).fetchall():
        print("  " + "\t".join(str(value) for value in row))


ask(
    "How many people joined, month by month?",
    """SELECT strftime(date_trunc('month', recorded_at), '%Y-%m') AS month, count(*) AS joins
       FROM events
       WHERE event_type = 'room.participant-joined'
       GROUP BY month ORDER BY month""",
)
ask(
    "Who wrote the most?",
    """SELECT tenant, data->>'author' AS author, count(*) AS messages
       FROM events
       WHERE event_type = 'room.message-sent'
       GROUP BY ALL ORDER BY messages DESC, tenant, author LIMIT 5""",
)
ask(
    "How long do people stay, in the rooms that saw most of them?",
    """SELECT room, count(*) AS stays, median((data->>'seconds')::BIGINT) AS median_seconds
       FROM events
       WHERE event_type = 'room.participant-left'
       GROUP BY room ORDER BY stays DESC, room LIMIT 5""",
)

first = sorted(path for (path,) in db.execute(f"SELECT file FROM glob('{folder}/*.events.parquet')").fetchall())[0]
frame = pandas.read_parquet(first)
print("How often did what happen, in the oldest partition?")
for event_type, count in frame.groupby("event_type").size().sort_index().items():
    print(f"  {event_type}\t{count}")
