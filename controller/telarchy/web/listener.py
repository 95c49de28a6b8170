"""An address on which an application is served, until told to stop."""

from __future__ import annotations

from aiohttp import web

from telarchy.errors import ConfigError


class Listener:
    """Serves `app` at `listen` (host and port; port 0 is any that is free) while started.

    option:  what a person changes when the address cannot be had
    """

    def __init__(self, app: web.Application, listen: tuple[str, int], option: str) -> None:
        self._app, self._option = app, option
        self.host, self.port = listen
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Raises ConfigError when the address cannot be had."""
        self._runner = web.AppRunner(self._app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"{self.host}:{self.port} cannot be listened on ({error.strerror or error}); "
                f"give another `{self._option}`"
            ) from None
        assert self._runner.addresses
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def address(self) -> str:
        """Where it is found, as a URL without a path."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def everywhere(self) -> bool:
        """Whether it listens on all addresses, so that nobody can be told just one."""
        return self.host in ("0.0.0.0", "::")
