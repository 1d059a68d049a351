"""Schemas that the embedded log keeps, so that it needs no registry beside it."""

from __future__ import annotations

from k2app.stream.log_connection import LogConnection


class LogSchemas(LogConnection):
    """Schemas by subject."""

    def register(self, subject: str, text: str) -> int:
        """Register a schema under a subject; the same text keeps its id and version. Returns the id."""
        with self._transaction():
            self._db.execute("insert or ignore into registered_schema (text) values (?)", (text,))
            schema_id = int(
                self._db.execute("select id from registered_schema where text = ?", (text,)).fetchone()[0]
            )
            known = self._db.execute(
                "select 1 from subject_version where subject = ? and schema_id = ?", (subject, schema_id)
            ).fetchone()
            if known is None:
                self._db.execute(
                    "insert into subject_version select ?1, coalesce(max(version), 0) + 1, ?2"
                    " from subject_version where subject = ?1",
                    (subject, schema_id),
                )
        return schema_id

    def schema_text(self, schema_id: int) -> str | None:
        """Text of a registered schema."""
        row = self._db.execute("select text from registered_schema where id = ?", (schema_id,)).fetchone()
        return None if row is None else str(row[0])

    def subject_schemas(self, subject: str) -> list[tuple[int, str]]:
        """Ids and texts of a subject's schemas, oldest first."""
        rows = self._db.execute(
            "select s.id, s.text from subject_version v join registered_schema s on s.id = v.schema_id"
            " where v.subject = ? order by v.version",
            (subject,),
        )
        return [(int(i), str(t)) for i, t in rows]
