/**
 * Rules as they are written and as they are understood. What `deny` says is read as widely as it can be
 * meant, what `allow` says as narrowly: where the two readings of a rule differ, the image is refused.
 */
import type { ImageGlob } from './image-glob.ts'

export type RuleList = 'allow' | 'deny'

/** As the configuration has it. */
export interface ImageRule {
  readonly image: string
  /** Why there is this rule; told to whom it refuses an image. */
  readonly message?: string
}

/** One way in which a rule fits images. Parts are the host and the segments of the repository. */
export type RuleForm =
  /** This name and all that is below it; for a host alone that may be at any port. */
  | { readonly kind: 'subtree'; readonly parts: readonly string[]; readonly isAnyPort: boolean }
  /** What begins so: after these whole parts, with this text. Empty text is anything below. */
  | { readonly kind: 'start'; readonly parts: readonly string[]; readonly text: string }
  /** One tag or digest: `app:1.2` after these parts. */
  | { readonly kind: 'exact'; readonly parts: readonly string[]; readonly text: string }
  | { readonly kind: 'glob'; readonly glob: ImageGlob; readonly text: string }

export interface RuleProblem {
  /** `never` fits no image at all; `unclear` may be meant in another way than it is read. */
  readonly kind: 'never' | 'unclear'
  readonly reason: string
  /** What was probably meant. */
  readonly meant?: string
}

export interface RuleReading {
  /** None for a rule that fits nothing. */
  readonly forms: readonly RuleForm[]
  readonly problem?: RuleProblem
}

/** The normal spelling of what a form fits. */
export function formatForm(form: RuleForm): string {
  if (form.kind === 'glob') return form.text
  if (form.kind === 'subtree') return form.parts.join('/')
  return [...form.parts, form.text].join('/')
}
