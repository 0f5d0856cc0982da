// The commands of the documentation that no test runs as they stand there, with what keeps them from it. All others
// are in a block that a test runs (`<!-- run: registry -->`, `run: stopped`, `run: cluster`, `run: image`).

interface NotRun {
  readonly reason: string
  /** A line each, without comments. */
  readonly commands: readonly string[]
}

export const commandsNotRun: readonly NotRun[] = [
  {
    reason: 'every test begins with it, or is it',
    commands: ['npm ci && npm start', 'npm ci', 'npm start', 'npm test'],
  },
  {
    reason: 'no docker compose among the tools; test/protocol/deploy.test.ts has the file',
    commands: [
      'cp -r deploy/compose /srv/trow && cd /srv/trow',
      'TROW_IMAGE=registry.example.com/trow:0.11.0 docker compose up --detach',
    ],
  },
  {
    reason:
      'it changes the machine, whose first process has to be systemd; test/protocol/deploy.test.ts has the unit',
    commands: [
      'git clone REPOSITORY /opt/trow && (cd /opt/trow && npm ci --omit=dev)',
      'ln -s /opt/trow/bin/trow /usr/local/bin/trow',
      'cd /opt/trow/deploy',
      'cp systemd/trow.sysusers.conf /etc/sysusers.d/trow.conf && systemd-sysusers',
      'mkdir -p /etc/trow && cp compose/trow.yaml /etc/trow/',
      'cp systemd/trow.service /etc/systemd/system/',
      'systemctl daemon-reload && systemctl enable --now trow',
      'runuser -u trow -- trow gc --data-dir /var/lib/trow',
    ],
  },
  {
    reason: 'its base is an image of Docker Hub, which no test may depend on',
    commands: ['docker build --file docker/Dockerfile --tag registry.example.com/trow:0.11.0 .'],
  },
  {
    reason:
      'it gives away a directory of the machine; test/e2e/image.test.ts does that with its own',
    commands: ['chown -R 333333:333333 /srv/trow'],
  },
  {
    reason: 'no package has docker-ls; test/e2e/docker-ls.test.ts runs it where it is',
    commands: [
      'docker-ls repositories -u myuser -p mypass -r https://registry.example.com',
      'docker-ls tags team/my-app -u myuser -p mypass -r https://registry.example.com',
    ],
  },
]
