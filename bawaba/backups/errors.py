"""What can go wrong with backups."""

from __future__ import annotations

from bawaba.core.errors import Conflict, Invalid, NotFound, Unavailable
from bawaba.web.messages import say


class BackupNotFound(NotFound):
    """There is no such backup."""

    code = "backup_not_found"


class BackupRunning(Conflict):
    """One is being made already, in this process or another."""

    code = "backup_running"


class NoBackupKey(Conflict):
    """Nobody has made the key that backups are encrypted to."""

    code = "no_backup_key"


class RecipientInvalid(Invalid):
    """That is not a public key of age's."""

    code = "recipient_invalid"


class BackupFailed(Unavailable):
    """A run, a drill, a check or a restore ended; the code says why."""

    code = "backup_failed"


class DiskFull(BackupFailed):
    """There is not room enough."""

    code = "backup_disk_full"


class FolderUnwritable(BackupFailed):
    """The local store cannot be written to or read."""

    code = "backup_folder"


class DumpFailed(BackupFailed):
    """The database could not be copied."""

    code = "backup_dump_failed"


class ProgramMissing(BackupFailed):
    """PostgreSQL's own programs are not there, or too old."""

    code = "backup_program_missing"


class StoreAway(BackupFailed):
    """The S3 store does not answer, or broke off."""

    code = "backup_store_away"


class StoreRefused(BackupFailed):
    """The S3 store does not take our keys, or there is no such bucket."""

    code = "backup_store_refused"


class CopyDamaged(BackupFailed):
    """A copy is not what was written there: size, hash or content."""

    code = "backup_damaged"


class CopyMissing(BackupFailed):
    """A copy is not where it was put."""

    code = "backup_missing"


class TooSlow(BackupFailed):
    """A step was not over by its deadline."""

    code = "backup_too_slow"


class Interrupted(BackupFailed):
    """The process ended in the middle of it."""

    code = "backup_interrupted"


class DrillFailed(BackupFailed):
    """What was put back is not what was taken."""

    code = "backup_drill_failed"


class WrongIdentity(Invalid):
    """The backup is encrypted to another key."""

    code = "backup_wrong_identity"


class NotABackup(Invalid):
    """The file is no backup of ours."""

    code = "backup_not_ours"


class TooNew(Conflict):
    """It was made by a newer Bawaba."""

    code = "backup_too_new"


class OtherDatabase(Conflict):
    """It is of the other kind of database."""

    code = "backup_other_database"


class WrongKeyFile(Conflict):
    """The key file here is not the one that its cards were made with."""

    code = "backup_wrong_key_file"


class ServerRunning(Conflict):
    """A server has the data."""

    code = "backup_server_running"


class RightMissing(Conflict):
    """PostgreSQL does not let us make or rename a database."""

    code = "backup_right_missing"


say(
    backup_not_found="There is no such backup.",
    backup_running="A backup is being made already. Wait until it is over.",
    no_backup_key="Make the backup key first: without it nothing can be encrypted.",
    recipient_invalid="That is not a public age key. It begins with age1.",
    backup_failed="The backup failed.",
    backup_disk_full="There is not room enough on the disk for the backup. Free some space, or set BAWABA_BACKUP_DIR.",
    backup_folder="The folder of backups cannot be used. Look at its owner and rights.",
    backup_dump_failed="The database could not be copied.",
    backup_program_missing="pg_dump and pg_restore of PostgreSQL are missing, or older than the server: "
    "install postgresql-client of the server's version.",
    backup_store_away="The S3 store does not answer, or broke off. It is tried again by itself.",
    backup_store_refused="The S3 store refuses us: look at the bucket, the access key and the secret key.",
    backup_damaged="A copy is not what was written there. Make a new backup now.",
    backup_missing="A copy is not where it was put. Make a new backup now.",
    backup_too_slow="A step took longer than it may. It is tried again by itself.",
    backup_interrupted="It ended in the middle of its work: a power cut, a restart, or it was stopped.",
    backup_drill_failed="The backup was put back on trial, and is not what was taken. Make a new one now.",
    backup_wrong_identity="This identity does not open the backup: it was encrypted to another key.",
    backup_not_ours="This file is no backup of Bawaba's, or it is damaged.",
    backup_too_new="This backup was made by a newer Bawaba (%(shape)s). Install that version or a newer one, "
    "then restore.",
    backup_other_database="This backup is of %(of)s, and this installation uses %(here)s. Restore it where "
    "BAWABA_DATABASE_URL is of its kind, then move it.",
    backup_wrong_key_file="The key file here (%(here)s) is not the one that this backup's cards were made with "
    "(%(of)s): no card in it could be redeemed or printed, no router password read. "
    "Put the right key file there first.",
    backup_server_running="A server is at work with these data. Stop it first.",
    backup_late="There is no backup of the last night.",
    backup_right_missing="The database's user may not make databases: as PostgreSQL's superuser, "
    "ALTER ROLE name CREATEDB.",
)
