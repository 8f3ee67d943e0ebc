# Two stages, so that the image holds no compiler and no package cache. The four folders are copied by name:
# whatever else lies in the checkout stays out.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/backstay
COPY requirements.lock ./
RUN /opt/backstay/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
# A second environment builds the wheel: what only builds does not belong in the image.
RUN python -m venv /tmp/builder
COPY requirements-build.lock ./
RUN /tmp/builder/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY workers ./workers
COPY handlers ./handlers
COPY domain ./domain
COPY storage ./storage
RUN /tmp/builder/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/wheels . \
    && /opt/backstay/bin/pip install --no-cache-dir --no-deps /tmp/wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/backstay --create-home backstay \
    && install --directory --owner=backstay --group=backstay /srv/apps
COPY --from=build /opt/backstay /opt/backstay
ENV PATH=/opt/backstay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BACKSTAY_DATA_DIR=/var/lib/backstay \
    BACKSTAY_APPS_ROOT=/srv/apps
USER backstay
WORKDIR /var/lib/backstay
VOLUME ["/var/lib/backstay", "/srv/apps"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["backstay"]
CMD ["worker"]
