# The studio on a CPU: docker build -t studio . && docker run --rm -p 7860:7860 studio
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 studio
WORKDIR /home/studio/app

# PyTorch without CUDA, from its own index; all else exactly as it was locked.
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock

COPY app.py LICENSE README.md ./
COPY sbcore sbcore
COPY demo demo
COPY checkpoints checkpoints

USER studio
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=2m CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
