# syntax=docker/dockerfile:1
# Two stages: one that fetches by hash, one that runs without tools, root or a writable disk.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/yinzheng
COPY requirements.lock .
RUN python3 -c "import venv; venv.create('.venv', with_pip=False, symlinks=True)" \
    && python3 -m pip --python .venv/bin/python install --no-cache-dir --require-hashes --no-deps \
       -r requirements.lock

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 fonts-noto-cjk \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin yinzheng
WORKDIR /srv/yinzheng
COPY --from=build /srv/yinzheng/.venv .venv
COPY foundation foundation
COPY keys keys
COPY ledger ledger
COPY signing signing
COPY idp idp
COPY certificates certificates
COPY exchange exchange
COPY portal portal
COPY server server
ENV PATH=/srv/yinzheng/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-m", "server", "health"]
ENTRYPOINT ["python", "-m", "server"]
CMD ["serve"]
