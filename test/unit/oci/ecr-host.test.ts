import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import { parseEcrHost } from '../../../src/oci/ecr-host.ts'

const account = '123456789012'

describe('the host of a private ECR registry', () => {
  const hosts: [host: string, region: string][] = [
    [`${account}.dkr.ecr.eu-central-1.amazonaws.com`, 'eu-central-1'],
    [`${account}.dkr.ecr-fips.us-gov-west-1.amazonaws.com`, 'us-gov-west-1'],
    [`${account}.dkr.ecr.cn-north-1.amazonaws.com.cn`, 'cn-north-1'],
    [`${account}.dkr.ecr.eusc-de-east-1.amazonaws.eu`, 'eusc-de-east-1'],
    [`${account}.dkr-ecr.us-east-1.on.aws`, 'us-east-1'],
    [`${account}.dkr-ecr-fips.us-east-1.on.aws`, 'us-east-1'],
    [`${account}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn`, 'cn-north-1'],
    [`${account}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov`, 'us-isob-east-1'],
    [`${account}.dkr.ecr.us-iso-east-1.c2s.ic.gov`, 'us-iso-east-1'],
    [`${account}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk`, 'eu-isoe-west-1'],
    [`${account}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov`, 'us-isof-south-1'],
  ]
  for (const [host, region] of hosts) {
    test(`${host} is one`, () => {
      assert.deepEqual(parseEcrHost(parseRegistryHost(host)), {
        region,
        fips: host.includes('-fips.'),
        dualStack: host.includes('.on.'),
      })
    })
  }

  const others = [
    'public.ecr.aws',
    'docker.io',
    '12345.dkr.ecr.eu-central-1.amazonaws.com',
    `${account}.dkr.ecr.eu-central-1.amazonaws.com.evil.example`,
    `${account}.dkr.ecr.eu-central-1.evil.example`,
    `x.${account}.dkr.ecr.eu-central-1.amazonaws.com`,
    `${account}.dkr.ecr.a.b.amazonaws.com`,
    `${account}.dkr.ecr.amazonaws.com`,
    `${account}.dkr.ecr.eu-central-1.amazonaws.com:8443`,
  ]
  for (const host of others) {
    test(`${host} is none`, () => {
      assert.equal(parseEcrHost(parseRegistryHost(host)), undefined)
    })
  }
})
