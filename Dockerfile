# Ottla as an image that stands in for Kafka's: the same variables, the same paths, the same lines in its output.
#
#   docker build -t ottla .
#   docker run --rm -p 9092:9092 ottla
#   docker run --rm -p 9092:9092 -e KAFKA_NUM_PARTITIONS=3 -v ottla-data:/var/lib/kafka/data ottla
#
# One process, not root. What is in deploy/image says how it starts; deploy/README.md how it is used.

FROM python:3.13-slim AS build
COPY . /src
RUN python3 -m venv /opt/ottla && /opt/ottla/bin/pip install --no-cache-dir --disable-pip-version-check '/src[security,page,cluster]'

FROM python:3.13-slim
COPY --from=build /opt/ottla /opt/ottla
COPY deploy/image/docker /etc/kafka/docker
COPY deploy/image/bin /usr/local/bin
# Start-up scripts of testcontainers' modules edit files in /etc/confluent/docker; that is the same folder here.
RUN useradd --uid 10092 --create-home ottla \
 && mkdir -p /etc/confluent /etc/kafka/secrets /mnt/shared/config /var/lib/kafka/data \
 && ln -s /etc/kafka/docker /etc/confluent/docker \
 && ln -s /opt/ottla/bin/ottla /usr/local/bin/ottla \
 && chown -R ottla:ottla /etc/kafka /mnt/shared/config /var/lib/kafka
ENV PYTHONDONTWRITEBYTECODE=1
USER ottla
WORKDIR /home/ottla
EXPOSE 9092
VOLUME ["/var/lib/kafka/data"]
HEALTHCHECK --interval=5s --start-period=60s --start-interval=1s CMD ["test", "-f", "/tmp/ottla.ready"]
CMD ["/etc/kafka/docker/run"]
