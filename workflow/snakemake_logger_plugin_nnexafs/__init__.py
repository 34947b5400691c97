"""One line in place of Snakemake's hundreds: stage, jobs done, time left. Snakemake finds it by the package's name.

The profiles choose it (`logger: [nnexafs]`). Every message still goes to .snakemake/log. Nothing here may stop a run: a
display that fails gives way to Snakemake's own.
"""

import sys
from dataclasses import dataclass, field
from logging import LogRecord

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_nnexafs.display import Display


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the command line, after --logger-nnexafs-."""

    full: bool = field(
        default=False,
        metadata={"help": "Print every message of Snakemake in place of one line that tells the progress."},
    )


class LogHandler(LogHandlerBase):
    """Gives Snakemake's messages to the display, or to Snakemake's own handler where the user wants those."""

    def __post_init__(self) -> None:
        """Choose: a dry run, and options that ask for more output, are answered by Snakemake itself."""
        common = self.common_settings
        asked = common.dryrun or common.verbose or common.printshellcmds or common.debug_dag
        self._display: Display | None = None
        self._own = self._snakemakes_own()
        if not (asked or getattr(self.settings, "full", False)):
            silent = {Quietness.ALL, Quietness.PROGRESS} & set(common.quiet or ())
            self._display = Display(sys.stderr, silent=bool(silent))

    def _snakemakes_own(self) -> ColorizingTextHandler:
        common = self.common_settings
        return ColorizingTextHandler(
            nocolor=common.nocolor,
            stream=sys.stdout if common.stdout else sys.stderr,
            formatter=DefaultFormatter(common.quiet, common.show_failed_logs),
            filter=DefaultFilter(
                common.quiet or set(), common.debug_dag, common.verbose, common.dryrun, common.printshellcmds
            ),
        )

    def emit(self, record: LogRecord) -> None:
        """Show what the record says."""
        if self._display is not None:
            try:
                self._display.take(record)
                return
            except Exception as error:
                self._give_up(error)
        self._own.handle(record)

    def _give_up(self, error: Exception) -> None:
        display, self._display = self._display, None
        try:
            if display is not None:
                display.stop()
            print(
                f"the progress display failed ({error!r}); Snakemake's own messages follow", file=sys.stderr
            )
        except Exception:
            pass  # the screen is gone

    def close(self) -> None:
        """Say how the run ended. Snakemake calls it more than once."""
        display, self._display = self._display, None
        if display is not None:
            try:
                display.end()
            except Exception as error:
                self._give_up(error)
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """In place of Snakemake's own output."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No: Snakemake keeps its log as ever."""
        return False

    @property
    def has_filter(self) -> bool:
        """The display sees every record."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It words what it shows by itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False
