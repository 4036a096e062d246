"""What an import is told, by flags or environment variables."""

from dataclasses import dataclass
from pathlib import Path

from sovereign.importer.catalogue import Format


@dataclass(frozen=True, slots=True)
class Settings:
    """The specification of one import. `sovereign.importer.cli` documents each field."""

    source: str
    dest: Path
    revision: str | None = None
    endpoint: str | None = None
    region: str | None = None
    digest: str | None = None
    format: Format = Format.SAFETENSORS
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    credentials: Path | None = None
    concurrency: int = 8
    part_size: int = 32 << 20
    timeout: float = 60.0
    max_attempts: int = 8
    retry_delay: float = 0.5
    progress_interval: float = 10.0
    termination_log: Path | None = None
    log_format: str = "text"
    allow_insecure: bool = False
    clean: bool = False
    verify: bool = False

    @property
    def identity(self) -> str:
        """What determines the bytes that a source gives: the name of the staging directory is made of it.

        The digest is no part of it: when it was wrong and is corrected, what has arrived is still of use.
        """
        return "\n".join((self.source, self.revision or "", self.endpoint or "", self.region or ""))
