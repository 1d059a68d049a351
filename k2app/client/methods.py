"""A method for every query. Written by `make docs`; not by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, TypeVar

from k2app.client.values import Amount, Day, Names, Time

Asked = TypeVar("Asked")

Replayed = TypeVar("Replayed")


class Methods(ABC, Generic[Asked, Replayed]):
    """The queries by name, each with the parameters it takes; what they return is what `query` does."""

    @abstractmethod
    def query(self, query: str, /, **parameters: object) -> Asked:
        """Ask any query by its name."""

    @abstractmethod
    def _replay(self, **parameters: object) -> Replayed: ...

    @abstractmethod
    def _replay_batches(self, **parameters: object) -> Asked: ...

    def trades(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        order: Literal["asc", "desc"] | None = None,
        include_duplicates: bool = False,
        columns: Names | None = None,
        conditions: Names | None = None,
        min_price: Amount | None = None,
        max_price: Amount | None = None,
        min_quantity: Amount | None = None,
        max_quantity: Amount | None = None,
        start: Time | None = None,
        end: Time | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """Trades in order of time; duplicates and rows of retracted loads are left out unless asked for.

        Parameters
        ----------
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        order
            Oldest or newest first. Default: asc.
        include_duplicates
            Show rows flagged as duplicates too.
        columns
            Only these columns, in this order; may be given several times.
        conditions
            Only rows with this condition; several: with any of them.
        min_price
            Only prices from this on; of a quote, each side there is.
        max_price
            Only prices up to this; of a quote, each side there is.
        min_quantity
            Only quantities from this on; of a quote, each side.
        max_quantity
            Only quantities up to this; of a quote, each side.
        start
            From this time on, inclusive.
        end
            Up to this time, exclusive.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "trades",
            symbol=symbol,
            exchange=exchange,
            order=order,
            include_duplicates=include_duplicates or None,
            columns=columns,
            conditions=conditions,
            min_price=min_price,
            max_price=max_price,
            min_quantity=min_quantity,
            max_quantity=max_quantity,
            start=start,
            end=end,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
            limit=limit,
            cursor=cursor,
        )

    def quotes(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        order: Literal["asc", "desc"] | None = None,
        include_duplicates: bool = False,
        columns: Names | None = None,
        conditions: Names | None = None,
        min_price: Amount | None = None,
        max_price: Amount | None = None,
        min_quantity: Amount | None = None,
        max_quantity: Amount | None = None,
        start: Time | None = None,
        end: Time | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """Quotes in order of time; duplicates and rows of retracted loads are left out unless asked for.

        Parameters
        ----------
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        order
            Oldest or newest first. Default: asc.
        include_duplicates
            Show rows flagged as duplicates too.
        columns
            Only these columns, in this order; may be given several times.
        conditions
            Only rows with this condition; several: with any of them.
        min_price
            Only prices from this on; of a quote, each side there is.
        max_price
            Only prices up to this; of a quote, each side there is.
        min_quantity
            Only quantities from this on; of a quote, each side.
        max_quantity
            Only quantities up to this; of a quote, each side.
        start
            From this time on, inclusive.
        end
            Up to this time, exclusive.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "quotes",
            symbol=symbol,
            exchange=exchange,
            order=order,
            include_duplicates=include_duplicates or None,
            columns=columns,
            conditions=conditions,
            min_price=min_price,
            max_price=max_price,
            min_quantity=min_quantity,
            max_quantity=max_quantity,
            start=start,
            end=end,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
            limit=limit,
            cursor=cursor,
        )

    def summary(
        self,
        symbol: str,
        date: Day,
        *,
        exchange: str | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
    ) -> Asked:
        """A symbol's trading date: open, high, low, close, VWAP, volume, gaps.

        Parameters
        ----------
        symbol
            The symbol.
        date
            The trading date, YYYY-MM-DD.
        exchange
            Only this exchange.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        """
        return self.query(
            "summary",
            symbol=symbol,
            date=date,
            exchange=exchange,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
        )

    def summaries(
        self,
        *,
        start_date: Day,
        end_date: Day | None = None,
        exchange: str | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
    ) -> Asked:
        """Every symbol's trading dates, as `summary` has one.

        Parameters
        ----------
        start_date
            First trading date.
        end_date
            Trading date after the last; empty: one date.
        exchange
            Only this exchange.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        """
        return self.query(
            "summaries",
            start_date=start_date,
            end_date=end_date,
            exchange=exchange,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
        )

    def bars(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        interval: str | None = None,
        align: Literal["utc", "session"] | None = None,
        fill: Literal["none", "null", "previous"] | None = None,
        exclude_conditions: Names | None = None,
        all_conditions: bool = False,
        start: Time | None = None,
        end: Time | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """Bars of any interval: open, high, low, close, volume, VWAP; prints off the market are left out.

        Parameters
        ----------
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        interval
            Length of a bar: a whole number of s, m, h, d or w, such as 30s, 5m, 90m, 1d, 1w.
            Default: 1m.
        align
            Count intervals from midnight UTC, or from the start of the exchange's trading dates.
            Default: utc.
        fill
            Intervals without trades: left out, without prices, or at the close before. Default:
            none.
        exclude_conditions
            Leave out trades with this condition instead of the exchange's rule; may be repeated.
        all_conditions
            Leave no trade out, whatever the exchange's rule.
        start
            From this time on, inclusive.
        end
            Up to this time, exclusive.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "bars",
            symbol=symbol,
            exchange=exchange,
            interval=interval,
            align=align,
            fill=fill,
            exclude_conditions=exclude_conditions,
            all_conditions=all_conditions or None,
            start=start,
            end=end,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
            limit=limit,
            cursor=cursor,
        )

    def taq(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        order: Literal["asc", "desc"] | None = None,
        max_age: str | None = None,
        match: Literal["at", "before"] | None = None,
        start: Time | None = None,
        end: Time | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """Trades with the quote that prevailed: mid, spread, effective spread, age of the quote.

        Parameters
        ----------
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        order
            Oldest or newest first. Default: asc.
        max_age
            No quote that is older than this when the trade is made, such as 500ms, 5s or 2h.
        match
            The last quote at or before the time of a trade, or strictly before it. Default: at.
        start
            From this time on, inclusive.
        end
            Up to this time, exclusive.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "taq",
            symbol=symbol,
            exchange=exchange,
            order=order,
            max_age=max_age,
            match=match,
            start=start,
            end=end,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
            limit=limit,
            cursor=cursor,
        )

    def gaps(
        self,
        *,
        symbol: str | None = None,
        exchange: str | None = None,
        data_type: Literal["trades", "quotes"] | None = None,
        open_only: bool = False,
        events: bool = False,
        start: Time | None = None,
        end: Time | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """Sequence gaps: what is missing, what came later, what was given up.

        Parameters
        ----------
        symbol
            Only this symbol.
        exchange
            Only this exchange.
        data_type
            Only gaps of this table.
        open_only
            Only what is still missing.
        events
            The events as recorded instead of the state they add up to.
        start
            From this time on, inclusive.
        end
            Up to this time, exclusive.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "gaps",
            symbol=symbol,
            exchange=exchange,
            data_type=data_type,
            open_only=open_only or None,
            events=events or None,
            start=start,
            end=end,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            limit=limit,
            cursor=cursor,
        )

    def symbols(
        self,
        *,
        exchange: str | None = None,
        date: Day | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
    ) -> Asked:
        """The symbols that have rows, with counts and times.

        Parameters
        ----------
        exchange
            Only this exchange.
        date
            Names as they were listed on this date; without it, the newest record.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        """
        return self.query(
            "symbols",
            exchange=exchange,
            date=date,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
        )

    def stats(
        self,
        *,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
    ) -> Asked:
        """Rows, files and bytes of the tables.

        Parameters
        ----------
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        """
        return self.query(
            "stats",
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
        )

    def snapshots(
        self,
        *,
        table: Literal["trades", "quotes", "reference_data", "gaps", "dead_letters", "loads"] | None = None,
        start: Time | None = None,
        end: Time | None = None,
        order: Literal["asc", "desc"] | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """The snapshots that are kept: when, by which commit, how many rows, from which topics.

        Parameters
        ----------
        table
            Only snapshots of this table.
        start
            Committed from this time on, inclusive.
        end
            Committed before this time.
        order
            Oldest or newest first. Default: desc.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "snapshots",
            table=table,
            start=start,
            end=end,
            order=order,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            limit=limit,
            cursor=cursor,
        )

    def diff(
        self,
        *,
        from_: str,
        to: str | None = None,
        table: Literal["trades", "quotes", "reference_data", "gaps", "dead_letters"] | None = None,
        symbol: Names | None = None,
        exchange: str | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
    ) -> Asked:
        """The rows that were added between two snapshots, by table, symbol and offsets.

        Parameters
        ----------
        from_
            What was there before: a snapshot id, a tag or a time.
        to
            What is there after: the same; without it, the newest.
        table
            Only rows of this table.
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        """
        return self.query(
            "diff",
            from_=from_,
            to=to,
            table=table,
            symbol=symbol,
            exchange=exchange,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
        )

    def snapshot(
        self,
        id: int,  # noqa: A002 - the parameter's name
        *,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
    ) -> Asked:
        """One snapshot: its offsets and floor by partition, and its rows by flag.

        Parameters
        ----------
        id
            Id of the snapshot.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        """
        return self.query(
            "snapshot",
            id=id,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
        )

    def range(
        self,
        *,
        data_type: Literal["trades", "quotes"] | None = None,
        symbol: Names | None = None,
        exchange: str | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
    ) -> Asked:
        """From when to when there are rows, by table and symbol.

        Parameters
        ----------
        data_type
            Only of this table.
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        """
        return self.query(
            "range",
            data_type=data_type,
            symbol=symbol,
            exchange=exchange,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
        )

    def completeness(
        self,
        *,
        data_type: Literal["trades", "quotes"] | None = None,
        symbol: Names | None = None,
        exchange: str | None = None,
        start_date: Day | None = None,
        end_date: Day | None = None,
        state: Literal["available", "degraded", "missing"] | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """What is there of each symbol's trading dates, and what is missing.

        Parameters
        ----------
        data_type
            Of which table. Default: trades.
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        start_date
            From this trading date on.
        end_date
            Up to this trading date, exclusive.
        state
            Only dates in this state.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "completeness",
            data_type=data_type,
            symbol=symbol,
            exchange=exchange,
            start_date=start_date,
            end_date=end_date,
            state=state,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
            limit=limit,
            cursor=cursor,
        )

    def dead_letters(
        self,
        *,
        topic: str | None = None,
        partition: int | None = None,
        start: Time | None = None,
        end: Time | None = None,
        state: Literal["open", "begun", "redriven"] | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Asked:
        """Records that could not be read: their bytes, the reason, and whether they were sent again.

        Parameters
        ----------
        topic
            Only of this topic.
        partition
            Only of this partition.
        start
            On the log from this time on, inclusive.
        end
            On the log before this time.
        state
            Only in this state.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        limit
            Rows, at most; without it, all of them.
        cursor
            `next` of the page before; the other parameters must be the same.
        """
        return self.query(
            "dead-letters",
            topic=topic,
            partition=partition,
            start=start,
            end=end,
            state=state,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            limit=limit,
            cursor=cursor,
        )

    def replay(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        data_type: Literal["trades", "quotes", "both"] | None = None,
        speed: float | str | None = None,
        rate: float | None = None,
        include_duplicates: bool = False,
        columns: Names | None = None,
        cursor: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
    ) -> Replayed:
        """Trades and quotes as they happened, a record at a time, as fast as they are taken or paced.

        Parameters
        ----------
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        data_type
            What to replay. Default: both.
        speed
            How many times as fast as it happened (1, 60); max: as fast as it is taken. Default:
            max.
        rate
            At most so many rows a second.
        include_duplicates
            Show rows flagged as duplicates too.
        columns
            Only these columns, in this order; may be given several times.
        cursor
            Resume after this place: the token of a progress line; speed and form may be others.
        start
            From this time on, inclusive.
        end
            Up to this time, exclusive.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        """
        return self._replay(
            symbol=symbol,
            exchange=exchange,
            data_type=data_type,
            speed=speed,
            rate=rate,
            include_duplicates=include_duplicates or None,
            columns=columns,
            cursor=cursor,
            start=start,
            end=end,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
        )

    def replay_batches(
        self,
        *,
        symbol: Names | None = None,
        exchange: str | None = None,
        data_type: Literal["trades", "quotes", "both"] | None = None,
        include_duplicates: bool = False,
        columns: Names | None = None,
        cursor: str | None = None,
        start: Time | None = None,
        end: Time | None = None,
        snapshot_id: int | None = None,
        as_of: Time | None = None,
        snapshots: str | None = None,
        tag: str | None = None,
        include_retracted: bool = False,
    ) -> Asked:
        """The records of a replay as fast as they can be read.

        `record` first, then the columns of both tables.

        Parameters
        ----------
        symbol
            Only this symbol; may be given several times.
        exchange
            Only this exchange.
        data_type
            What to replay. Default: both.
        include_duplicates
            Show rows flagged as duplicates too.
        columns
            Only these columns, in this order; may be given several times.
        cursor
            Resume after this place: the token of a progress line; speed and form may be others.
        start
            From this time on, inclusive.
        end
            Up to this time, exclusive.
        snapshot_id
            Answer from this snapshot of the table.
        as_of
            Answer from the newest snapshots committed by this time.
        snapshots
            Answer from these snapshots, as an answer names them: trades:123,quotes:456 (none: had
            none yet).
        tag
            Answer from the snapshots that this tag names (k2 tag list).
        include_retracted
            Show rows of retracted loads too.
        """
        return self._replay_batches(
            symbol=symbol,
            exchange=exchange,
            data_type=data_type,
            include_duplicates=include_duplicates or None,
            columns=columns,
            cursor=cursor,
            start=start,
            end=end,
            snapshot_id=snapshot_id,
            as_of=as_of,
            snapshots=snapshots,
            tag=tag,
            include_retracted=include_retracted or None,
        )
