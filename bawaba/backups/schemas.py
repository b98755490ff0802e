"""Backups in JSON."""

from __future__ import annotations

from typing import Any

from bawaba.backups.models import BackupRun
from bawaba.web.messages import sentence


def backup_out(run: BackupRun) -> dict[str, Any]:
    """A backup as the API shows it."""
    error = {"error": run.error, "error_message": why(run)} if run.error else {}
    return {
        "id": run.id,
        "kind": run.kind,
        "state": run.state,
        "step": run.step,
        "progress": run.progress,
        "file": run.file,
        "size_bytes": run.size_bytes,
        "sha256": run.sha256,
        "stored_at": run.stored,
        "rows": run.row_count,
        "recipient": run.recipient,
        "key_fingerprint": run.key_fingerprint,
        "drill": run.drill,
        "check": run.last_check,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        **error,
    }


def why(run: BackupRun) -> str:
    """Why a run failed, in the reader's language."""
    return sentence(run.error) if run.error else ""
