/**
 * Every bound of the system, by name, with its reason: one file in limits/ for each part. A queue,
 * cache, body, header, page or wait without an entry there is a defect. Sizes are bytes, times are
 * as the name's last word says.
 */
import { accessLimits } from './limits/access.ts'
import { admissionLimits } from './limits/admission.ts'
import { collectionLimits } from './limits/collection.ts'
import { commandsLimits } from './limits/commands.ts'
import { configurationLimits } from './limits/configuration.ts'
import { contentLimits } from './limits/content.ts'
import { httpLimits } from './limits/http.ts'
import { movingLimits } from './limits/moving.ts'
import { processLimits } from './limits/process.ts'
import { pullThroughLimits } from './limits/pull-through.ts'
import { upstreamLimits } from './limits/upstream.ts'

export const limits = {
  ...contentLimits,
  ...collectionLimits,
  ...movingLimits,
  ...pullThroughLimits,
  ...upstreamLimits,
  ...httpLimits,
  ...accessLimits,
  ...admissionLimits,
  ...configurationLimits,
  ...commandsLimits,
  ...processLimits,
} as const
